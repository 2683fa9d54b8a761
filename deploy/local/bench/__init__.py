"""`brs bench`: what loading, learning and answering cost, and how the service stands many clients."""
