"""What lists and pages show. All reads are bounded: in rows, in bytes, and in how far they look for what a filter lets pass."""
