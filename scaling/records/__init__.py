"""What trials leave behind: columns, names, files, and where all of it lies.

The ground of the project: scaling, sweeps and analysis import it, and it imports none of them,
nor torch, nor ray.
"""
