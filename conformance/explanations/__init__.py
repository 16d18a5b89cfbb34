"""What every rule, wire row and error code means, in English and French: data files by family, and their catalogue."""
