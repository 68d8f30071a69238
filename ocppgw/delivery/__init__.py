"""The durable lanes of a charge box: ordered queue, retries, parking, id rewriting."""
