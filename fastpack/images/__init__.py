"""Encoded images: headers, codecs, transforms, seek points."""
