"""Units in one spelling, what they measure, and how they convert."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

Size = tuple[str, Fraction]
"""What a unit measures, and how much of the quantity's first unit it is."""

_UNITS: dict[str, tuple[str, Size | None]] = {
    "%": ("percent, per cent, percentage, pct", None),
    "°": ("degree, degrees, deg, 度", None),
    "rad": ("radian, radians", None),
    "unit": ("units", None),
    "mm": ("millimeter, millimeters, millimetre, millimetres, 毫米", ("length", Fraction(1, 1000))),
    "cm": ("centimeter, centimeters, centimetre, centimetres, 厘米", ("length", Fraction(1, 100))),
    "dm": ("decimeter, decimeters, 分米", ("length", Fraction(1, 10))),
    "m": ("meter, meters, metre, metres, 米", ("length", Fraction(1))),
    "km": ("kilometer, kilometers, kilometre, kilometres, 千米, 公里", ("length", Fraction(1000))),
    "in": ("inch, inches", ("length", Fraction(254, 10_000))),
    "ft": ("foot, feet", ("length", Fraction(3048, 10_000))),
    "yd": ("yard, yards", ("length", Fraction(9144, 10_000))),
    "mi": ("mile, miles", ("length", Fraction(1_609_344, 1000))),
    "ml": ("milliliter, milliliters, millilitre, millilitres, 毫升", ("length^3", Fraction(1, 1_000_000))),
    "l": ("liter, liters, litre, litres, 升", ("length^3", Fraction(1, 1000))),
    "mg": ("milligram, milligrams", ("mass", Fraction(1, 1000))),
    "g": ("gram, grams, 克", ("mass", Fraction(1))),
    "kg": ("kilogram, kilograms, kilo, kilos, 千克", ("mass", Fraction(1000))),
    "lb": ("lbs, pound, pounds", ("mass", Fraction(45_359_237, 100_000))),
    "oz": ("ounce, ounces", ("mass", Fraction(45_359_237, 1_600_000))),
    "ms": ("millisecond, milliseconds", ("time", Fraction(1, 1000))),
    "s": ("sec, secs, second, seconds, 秒", ("time", Fraction(1))),
    "min": ("mins, minute, minutes, 分钟", ("time", Fraction(60))),
    "h": ("hr, hrs, hour, hours, 小时", ("time", Fraction(3600))),
    "day": ("days, 天", ("time", Fraction(86_400))),
    "week": ("weeks", ("time", Fraction(604_800))),
    "km/h": ("kph, kmh, kmph", None),
    "mi/h": ("mph", None),
    "°c": ("celsius, degrees celsius, degree celsius, degrees c, ℃", None),
    "°f": ("fahrenheit, degrees fahrenheit, degree fahrenheit, degrees f, ℉", None),
    "n": ("newton, newtons", ("force", Fraction(1))),
    "kn": ("kilonewton, kilonewtons", ("force", Fraction(1000))),
    "pa": ("pascal, pascals", ("pressure", Fraction(1))),
    "kpa": ("kilopascal, kilopascals", ("pressure", Fraction(1000))),
    "j": ("joule, joules", ("energy", Fraction(1))),
    "kj": ("kilojoule, kilojoules", ("energy", Fraction(1000))),
    "w": ("watt, watts", ("power", Fraction(1))),
    "kw": ("kilowatt, kilowatts", ("power", Fraction(1000))),
    "mv": ("millivolt, millivolts", ("voltage", Fraction(1, 1000))),
    "v": ("volt, volts", ("voltage", Fraction(1))),
    "ma": ("milliampere, milliamperes, milliamps", ("current", Fraction(1, 1000))),
    "a": ("amp, amps, ampere, amperes", ("current", Fraction(1))),
    "ω": ("ohm, ohms", ("resistance", Fraction(1))),
    "kω": ("kohm, kilohm, kilohms, kiloohms", ("resistance", Fraction(1000))),
    "hz": ("hertz", ("frequency", Fraction(1))),
    "khz": ("kilohertz", ("frequency", Fraction(1000))),
    "c": ("coulomb, coulombs", None),
    "t": ("tesla", None),
    "k": ("kelvin", None),
    "f": ("farad", None),
    "mol": ("mole, moles", None),
    "usd": ("$, dollar, dollars, us dollars, bucks", ("dollars", Fraction(1))),
    "cent": ("cents, ¢", ("dollars", Fraction(1, 100))),
    "eur": ("€, euro, euros", None),
    "gbp": ("£", None),
    "yen": ("¥, jpy", None),
    "cny": ("元, yuan, rmb", None),
}
_NAMES = {name: unit for unit, (names, _) in _UNITS.items() for name in [unit, *names.split(", ")]}
_SQUARE = re.compile(r"(?:square|sq\.?|平方) ?(?P<base>.+)|(?P<other>.+?)(?: squared| ?\^ ?\{?2\}?|2)")
_CUBE = re.compile(r"(?:cubic|cu\.?|立方) ?(?P<base>.+)|(?P<other>.+?)(?: cubed| ?\^ ?\{?3\}?|3)")
_PER = re.compile(r"(?P<top>[^/]+?) ?(?:/| per | an? ) ?(?P<bottom>[^/]+)")
_DEGREES = frozenset({"°", "°c", "°f"})


@lru_cache(maxsize=4096)
def unit_name(text: str) -> str:
    """A unit in its one spelling: `square centimeters` gives `cm^2`; what is not known comes back in lower case."""
    name = " ".join(text.casefold().split()).strip(". ")
    if name in _NAMES:
        return _NAMES[name]
    for pattern, power in ((_SQUARE, "^2"), (_CUBE, "^3")):
        match = pattern.fullmatch(name)
        base = (match["base"] or match["other"]).strip() if match else ""
        if base in _NAMES:
            return _NAMES[base] + power
    per = _PER.fullmatch(name)
    if per is not None and unit_name(per["top"]) in _UNITS and unit_name(per["bottom"]) in _UNITS:
        return f"{unit_name(per['top'])}/{unit_name(per['bottom'])}"
    return name


def is_unit(name: str) -> bool:
    """Whether a name, in its one spelling, is a known unit, a power of one, or one per another."""
    return all(part.partition("^")[0] in _UNITS for part in name.split("/"))


def units_fit(answer: str, gold: str) -> bool:
    """Whether two units, in one spelling each, do not contradict: a missing or a general one fits every other."""
    if not answer or not gold or answer == gold or "unit" in (answer.partition("^")[0], gold.partition("^")[0]):
        return True
    return "°" in (answer, gold) and {answer, gold} <= _DEGREES


def conversion(unit: str, other: str) -> Fraction | None:
    """How many of `other` one `unit` is; None when they do not measure the same, or one is not known."""
    size, target = _size(unit), _size(other)
    return size[1] / target[1] if size is not None and target is not None and size[0] == target[0] else None


def _size(unit: str) -> Size | None:
    top, per, bottom = unit.partition("/")
    if per:
        over, under = _size(top), _size(bottom)
        return None if over is None or under is None else (f"{over[0]}/{under[0]}", over[1] / under[1])
    base, power, exponent = unit.partition("^")
    known = _UNITS.get(base)
    if known is None or known[1] is None:
        return None
    quantity, factor = known[1]
    return (f"{quantity}^{exponent}", factor ** int(exponent)) if power else (quantity, factor)
