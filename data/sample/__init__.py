"""The library that ships: real books, simulated readers. README.md beside this file says which is which and how."""
