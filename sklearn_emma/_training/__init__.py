"""How a module is trained, with skorch. Private."""
