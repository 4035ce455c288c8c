"""How files of datasets are read: no dataset is named here."""
