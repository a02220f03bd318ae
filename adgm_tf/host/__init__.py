"""What any program needs: errors, files, interrupts, the command line."""
