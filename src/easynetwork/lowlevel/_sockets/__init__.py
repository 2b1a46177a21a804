"""Operations on the sockets of the operating system."""
