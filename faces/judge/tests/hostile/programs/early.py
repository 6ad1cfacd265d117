import os, sys
os.read(0, 3)
os.close(0)
print("enough")
