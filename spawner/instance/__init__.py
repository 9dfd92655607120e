"""What runs inside an instance. It lives in another machine, so it imports nothing else of Freepool."""
