"""Random numbers from what an image is called, never from where it stands in a run."""

import hashlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key


def digest(seed: int, *parts: str | bytes) -> bytes:
    """128 bits that depend on the seed and every part."""
    state = hashlib.blake2b(digest_size=16)
    for part in (str(seed), *parts):
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.digest()


def keys_of(seed: int, names: Sequence[str | bytes]) -> Key[Array, " N"]:
    """One JAX key a name, (N,): of Threefry, whatever generator JAX is set to."""
    data = b"".join(digest(seed, name)[:8] for name in names)
    words = jnp.asarray(np.frombuffer(data, np.uint32).reshape(-1, 2))
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def generator_of(seed: int, *parts: str) -> np.random.Generator:
    """A NumPy generator that depends on the seed and every part."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest(seed, *parts), "little")))
