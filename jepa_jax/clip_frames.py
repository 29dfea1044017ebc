"""A clip as one image, its frames one below the other: between sources and encoders of clips."""

from PIL import Image

# In a clip's image's `info`: how many frames lie in it.
FRAMES = "frames"


def split_frames(image: Image.Image) -> list[Image.Image]:
    """The frames of a clip's image, from the top; the image itself where it is no clip's."""
    count = image.info.get(FRAMES, 1)
    height = image.height // count
    return [image.crop((0, i * height, image.width, (i + 1) * height)) for i in range(count)]
