"""Vendors on loopback, written from their documentation: for the demo, and as strict judges in the tests."""
