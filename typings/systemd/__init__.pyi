from . import daemon as daemon, journal as journal
