"""How checkpoints of transformers, timm and torchvision are read."""
