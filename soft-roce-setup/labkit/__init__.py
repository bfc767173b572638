"""The Soft-RoCE lab: small virtual machines with rxe devices, made from the machine's own files."""
