"""The workloads: a context of 20,000 files and the Dockerfiles W1 to W8.

Deterministic (a fixed seed), so that two machines measure the same thing."""
import os
import random
import time

DIRECTORIES = 400
FILES = 50


def make_context(root):
    """400 directories x 50 files, about 100 MB: 200 to 10,040 bytes each,
    every fifth random, the rest words."""
    if os.path.exists(os.path.join(root, "complete")):
        return
    rng = random.Random(20260101)
    words = [
        "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 11)))
        for _ in range(2500)
    ]
    for d in range(DIRECTORIES):
        directory = os.path.join(root, f"d{d:03d}")
        os.makedirs(directory, exist_ok=True)
        for f in range(FILES):
            size = rng.randint(200, 10040)
            if f % 5 == 0:
                data = rng.randbytes(size)
            else:
                data = " ".join(rng.choices(words, k=size // 3)).encode()[:size]
            with open(os.path.join(directory, f"f{f:02d}.txt"), "wb") as out:
                out.write(data)
    open(os.path.join(root, "complete"), "w").close()


def rewrite_one(context, n):
    """Other bytes of the same length in one file; which one, `n` says."""
    path = os.path.join(context, f"d{n % DIRECTORIES:03d}", "f07.txt")
    size = os.path.getsize(path)
    with open(path, "wb") as out:
        out.write((f"rewritten {time.time_ns()} " * size).encode()[:size])


def large_layer(big, id):
    """One RUN that copies most of the large image."""
    return (f"FROM {big}\nRUN mkdir /w5 && cp -r /usr /opt /w5/ && echo {id} > /w5/id\n")


def dockerfiles(base, big=None):
    """name -> text."""
    three_stages = [
        f"FROM {base} AS base",
        "ENV A=1",
        "LABEL stage=base",
        "WORKDIR /src",
        "RUN echo base1 > /base1",
        "RUN echo base2 > /base2",
        "RUN true",
        "FROM base AS build",
        "ENV B=2",
        "COPY . .",
        "RUN echo b1 > /b1",
        "RUN echo b2 > /b2",
        "RUN true",
        "RUN find . -type f | wc -l > /count",
        "RUN mkdir -p /out && cp -r d000 /out/",
        "RUN echo b3 > /out/b3",
        "RUN echo b4 > /out/b4",
        "FROM base AS final",
        "ENV C=3",
        "COPY --from=build /out /out",
        "COPY --from=build /count /count",
        "COPY --from=build /b1 /b1",
        "RUN echo f1 > /f1",
        "RUN echo f2 > /f2",
        "RUN true",
        "WORKDIR /app",
        "LABEL final=1",
        "EXPOSE 8080",
        "USER nobody",
        'CMD ["/bin/sh"]',
    ]
    eight = []
    for i in range(8):
        eight += [f"FROM {base} AS s{i}", f"RUN sleep 1 && echo {i} > /o{i}"]
    eight += [f"FROM {base}"] + [f"COPY --from=s{i} /o{i} /o{i}" for i in range(8)]
    return {
        "W1": "\n".join(three_stages) + "\n",
        "W2": f"FROM {base}\n" + "".join(f"RUN echo {i} > /f{i}\n" for i in range(1, 21)),
        "W4": f"FROM {base}\nCOPY . /src\nRUN echo x > /x\n",
        "W6": "\n".join(eight) + "\n",
        "W7": f"FROM {base}\nCOPY . /src\n",
        "W8": f"FROM {big or base}\nCOPY --link file /opt/file\nENV A=1\nCMD [\"/opt/file\"]\n",
    }
