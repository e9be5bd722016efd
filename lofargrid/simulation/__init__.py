"""A grid in a box: sites, nodes, network, storage, tape and a batch system behind the ports, under a virtual clock."""
