import sys
stream = sys.stderr if len(sys.argv) > 1 else sys.stdout
while True:
    stream.write("y" * 65536)
