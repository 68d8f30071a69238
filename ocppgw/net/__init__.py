"""HTTP/1.1 on Twisted: bytes in, bytes out."""
