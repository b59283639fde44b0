"""Measurements that are run by hand or at night, not by `make test`."""
