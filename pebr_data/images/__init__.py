"""Images: one gate decides which ones a model can be shown, and everybody sees them decoded the same way.

    images = ImageStore(store / "images")
    facts = open_gate().examine([data])[0]      # ImageFacts, or a DataError that says why not
    images.put_all({facts.image_hash: (data, facts.format)})
    picture = decode(images.get(facts.image_hash))

What has not passed the gate is never decoded in this process: see `gate`.
"""

from pebr_data.images.decode import MAX_BYTES, ImageInfo, decode, inspect
from pebr_data.images.facts import ImageFacts
from pebr_data.images.gate import ImageGate, open_gate
from pebr_data.images.store import ImageStore

__all__ = ["MAX_BYTES", "ImageFacts", "ImageGate", "ImageInfo", "ImageStore", "decode", "inspect", "open_gate"]
