import errno, os, signal
made = 0
for _ in range(2000):
    try:
        if os.fork() == 0:
            while True:
                signal.pause()
        made += 1
    except OSError as error:
        print(f"refused after {made}: {errno.errorcode[error.errno]}", flush=True)
        os._exit(7)
print("never refused")
