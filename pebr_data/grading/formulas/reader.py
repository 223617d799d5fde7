"""Building the tree of a formula from its tokens."""

from __future__ import annotations

import re
from fractions import Fraction
from math import factorial

from pebr_data.grading.formulas.tokens import UNIT_LETTERS, NotAFormula, Token, tokenize
from pebr_data.grading.formulas.tree import (
    MINUS_ONE,
    ONE,
    Call,
    Name,
    Rational,
    Tree,
    add,
    divide,
    multiply,
    negate,
    power,
    rational,
)
from pebr_data.grading.units import unit_name

_MAX_DEPTH = 24
_MAX_FACTORIAL = 20
_END = Token("end", "", True)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Reader:
    """Recursive descent over tokens, with a bound on the depth."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.arguments = 0
        self.has_names = False
        self.ambiguous = False
        self.decimal = False
        self.unit = ""

    def whole(self) -> Tree:
        """The tree of all the tokens; a unit at their end goes to `unit`.

        Raises:
            NotAFormula: They are not one formula, or one that is too deep.
        """
        tree = self._sum()
        behind = self.tokens[self.at :]
        if behind and self.unit:
            raise NotAFormula
        if behind:
            self.unit = _unit(behind)
        return tree

    def _peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def _takes(self, *signs: str) -> str:
        token = self._peek()
        if token.kind == "sign" and token.text in signs:
            self.at += 1
            return token.text
        return ""

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise NotAFormula

    def _sum(self) -> Tree:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise NotAFormula
        terms = [self._product()]
        while sign := self._takes("+", "-"):
            term = self._product()
            terms.append(negate(term) if sign == "-" else term)
        self.depth -= 1
        return add(terms) if len(terms) > 1 else terms[0]

    def _product(self) -> Tree:
        factors = [self._signed()]
        after_slash = False
        while True:
            sign = self._takes("*", "/")
            if sign:
                factor = self._signed()
                factors.append(power(factor, MINUS_ONE) if sign == "/" else factor)
                after_slash = sign == "/" and not self._spaced_or_closed()
            elif self._continues():
                self.ambiguous |= after_slash
                factors.append(self._raised())
            else:
                return multiply(factors) if len(factors) > 1 else factors[0]

    def _signed(self) -> Tree:
        minus = False
        signs = 0
        while sign := self._takes("+", "-"):
            minus ^= sign == "-"
            signs += 1
        if signs > 2:
            raise NotAFormula
        tree = self._raised()
        return negate(tree) if minus else tree

    def _raised(self) -> Tree:
        base = self._postfix()
        if not self._takes("^"):
            return base
        return self._marked(power(base, self._exponent()))

    def _exponent(self) -> Tree:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise NotAFormula
        tree = self._bare_number() or self._signed()
        self.depth -= 1
        return tree

    def _bare_number(self) -> Tree | None:
        r"""A number that no fraction joins: `x^2\frac{1}{2}` and `\sqrt3\frac{1}{2}` hold no mixed number."""
        token = self._peek()
        if token.kind != "number":
            return None
        self.at += 1
        return _literal(token.text)

    def _postfix(self) -> Tree:
        return self._marked(self._atom())

    def _marked(self, tree: Tree) -> Tree:
        """The tree with the marks behind it: `!`, `°`, `%`."""
        while mark := self._takes("!", "°", "%"):
            if mark == "!":
                tree = _factorial(tree)
            elif mark == "°" and self.arguments:
                tree = multiply((tree, Rational(Fraction(1, 180)), Name("pi", is_constant=True)))
            elif mark == "%" and (self.depth > 1 or self._peek() is not _END):
                tree = divide(tree, Rational(Fraction(100)))
            elif self.unit not in ("", mark):
                raise NotAFormula
            else:
                self.unit = mark
        return tree

    def _atom(self) -> Tree:
        token = self._peek()
        self.at += 1
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            self.has_names = True
            return Name(token.text)
        if token.kind == "short unit":
            self.has_names = True
            return multiply(Name(letter) for letter in token.text)
        if token.kind == "constant":
            return Name(token.text, is_constant=True)
        if token.kind == "fraction":
            return divide(self._argument(), self._argument())
        if token.kind == "root":
            return self._root()
        if token.kind == "function":
            return self._call(token.text)
        if token.kind == "sign" and token.text in _CLOSING:
            tree = self._sum()
            self._expect(_CLOSING[token.text])
            return tree
        if token.kind == "sign" and token.text == "|":
            self.bars += 1
            tree = self._sum()
            self._expect("|")
            self.bars -= 1
            return Call("abs", tree)
        raise NotAFormula

    def _number(self, token: Token) -> Tree:
        tree = _literal(token.text)
        self.decimal |= (tree.decimals or 0) > 1
        if not tree.decimals and (behind := self._simple_fraction()) is not None:
            return rational(tree.value + behind)
        return tree

    def _simple_fraction(self) -> Fraction | None:
        r"""The fraction of a mixed number such as `2\frac{1}{2}` or `2 1/2`, when one stands here."""
        kinds = [token.kind for token in self.tokens[self.at : self.at + 7]]
        texts = [token.text for token in self.tokens[self.at : self.at + 7]]
        if kinds[:1] == ["fraction"]:
            braces = [texts[at : at + 1] for at in (1, 3, 4, 6)] == [["{"], ["}"], ["{"], ["}"]]
            top, bottom, length = ("2", "5", 7) if braces else ("1", "2", 3)
            if braces and kinds[2] == kinds[5] == "number":
                top, bottom = texts[2], texts[5]
            elif not braces and kinds[1:2] == ["number"] and len(texts[1]) == 2:
                top, bottom, length = texts[1][0], texts[1][1], 2
            else:
                return None
        elif kinds[:3] == ["number", "sign", "number"] and texts[1] == "/" and self._peek().spaced:
            top, bottom, length = texts[0], texts[2], 3
        else:
            return None
        if "." in top + bottom or not 0 < int(top) < int(bottom):
            return None
        self.at += length
        return Fraction(int(top), int(bottom))

    def _argument(self) -> Tree:
        """An argument of a LaTeX command: a group, or one digit or letter."""
        if self._takes("{"):
            tree = self._sum()
            self._expect("}")
            return tree
        token = self._peek()
        if token.kind == "number" and token.text.isdigit():
            rest = token.text[1:]
            if rest:
                self.tokens[self.at] = Token("number", rest, False)
            else:
                self.at += 1
            return _literal(token.text[0])
        if token.kind in ("name", "constant", "root"):
            return self._atom()
        raise NotAFormula

    def _root(self) -> Tree:
        degree: Tree = Rational(Fraction(2))
        if self._takes("["):
            degree = self._sum()
            self._expect("]")
        token = self._peek()
        if token.kind == "number" and len(token.text) > 1 and self.tokens[self.at - 1].text == "sqrt":
            raise NotAFormula
        return power(self._bare_number() or self._atom(), divide(ONE, degree))

    def _call(self, name: str) -> Tree:
        name, _, base_text = name.partition("_")
        base: Tree | None = None
        if name == "lg" or base_text:
            base = Reader(tokenize(base_text or "10")).whole()
        elif name == "log":
            base = Name("base of log")
        exponent = self._exponent() if self._takes("^") else None
        if exponent == MINUS_ONE and name in ("sin", "cos", "tan"):
            name, exponent = f"arc{name}", None
        self.arguments += 1
        argument = self._function_argument()
        self.arguments -= 1
        if name == "exp":
            tree = power(Name("e", is_constant=True), argument)
        elif base is not None:
            tree = divide(Call("ln", argument), Call("ln", base))
        else:
            tree = Call(name, argument)
        return tree if exponent is None else power(tree, exponent)

    def _function_argument(self) -> Tree:
        """A bracketed argument, or the product up to the next sign or function: `sin 2x`."""
        token = self._peek()
        if token.kind == "sign" and token.text in ("(", "[", "|"):
            return self._marked(self._atom())
        factors = [self._signed()]
        while self._continues() and self._peek().kind in ("name", "constant", "number", "root", "fraction"):
            factors.append(self._raised())
        if self._peek().text == "/":
            raise NotAFormula
        return multiply(factors)

    def _continues(self) -> bool:
        """Whether a factor stands here without a sign before it."""
        token = self._peek()
        if token.kind == "sign":
            return token.text in ("(", "[", "{") or (token.text == "|" and not self.bars)
        if token.kind == "short unit" or (token.kind == "name" and token.spaced and token.text in UNIT_LETTERS):
            return not self._ends_in_unit(token)
        return token.kind in ("name", "constant", "function", "root", "fraction")

    def _ends_in_unit(self, first: Token) -> bool:
        """Whether all that is left is a unit in letters: `2√3 m`, `2a cm`, but not `2am`."""
        if self.depth > 1 or (self.has_names and (first.kind == "name" or not first.spaced)):
            return False
        return all(
            token.kind in ("unit", "short unit", "number")
            or (token.kind == "name" and token.text in UNIT_LETTERS)
            or token.text in ("^", "/", "{", "}")
            for token in self.tokens[self.at :]
        )

    def _spaced_or_closed(self) -> bool:
        return self._peek().spaced or self.tokens[self.at - 1].text in (")", "]", "}")


def _literal(text: str) -> Rational:
    text, _, shift = text.partition("e")
    whole, _, part = text.partition(".")
    if shift:
        return rational(Fraction(int(whole + part), 10 ** len(part)) * Fraction(10) ** int(shift))
    value = Fraction(int((whole + part) or "0"), 10 ** len(part))
    return rational(value, len(part))


def _factorial(tree: Tree) -> Tree:
    if not isinstance(tree, Rational) or tree.value.denominator != 1 or not 0 <= tree.value <= _MAX_FACTORIAL:
        raise NotAFormula
    return Rational(Fraction(factorial(tree.value.numerator)))


def _unit(tokens: list[Token]) -> str:
    """The unit these tokens are, in one spelling: `square cm`, `cm^2` and `cm**{2}` are `cm^2`."""
    if tokens[0].kind not in ("unit", "short unit", "name") or any(
        token.kind in ("root", "fraction") for token in tokens
    ):
        raise NotAFormula
    exponent = ""
    parts: list[str] = []
    for token, before in zip(tokens, [_END, *tokens], strict=False):
        if token.kind == "number" and before.text not in ("^", "{", "-"):
            raise NotAFormula
        for word in token.text.split():
            if word in ("square", "sq", "squared", "sq."):
                exponent = "^2"
            elif word in ("cubic", "cubed", "cu", "cu."):
                exponent = "^3"
            elif word in ("{", "}"):
                continue
            elif token.kind not in ("unit", "short unit", "name", "number") and word not in ("^", "/"):
                raise NotAFormula
            else:
                parts.append(unit_name(word) if token.kind != "number" else word)
    unit = "".join("/" if part == "per" else part for part in parts) + exponent
    return "unit" if re.fullmatch(r"unit(\^[23])?", unit) else unit
