"""What is added: nets and policies of augmentation, a module each that puts its entries into the catalog's tables.

The catalog imports them all, so their names are words of specs, profiles and the command line (CONTRIBUTING.md).
"""
