import errno
try:
    with open("big", "wb") as file:
        while True:
            file.write(b"x" * (1 << 20))
except OSError as error:
    print(errno.errorcode[error.errno])
    raise SystemExit(3)
