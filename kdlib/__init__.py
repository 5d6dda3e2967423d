"""kdlib: the library behind "Does Knowledge Distillation Really Work?", re-executed."""
