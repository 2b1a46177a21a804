"""What the library asks and tells the sockets of the operating system."""
