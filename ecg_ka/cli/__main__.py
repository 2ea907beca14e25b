"""python -m ecg_ka.cli"""

if __name__ == "__main__":  # worker processes import this file too, and need none of it
    from ecg_ka.cli import main

    main()
