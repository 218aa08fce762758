# The grader on macOS and Windows, where student code cannot be locked away natively:
#
#   docker build -t kit .
#   docker run --rm -v "$PWD":/course kit doctor
#   docker run --rm -v "$PWD":/course kit grade hw2_autodiff
#
# It runs as root inside the container, so that workers get a user of their own. No further
# privileges are needed: Landlock and seccomp are open to every process.
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/kit
COPY . .
# torch is pinned in the command itself: an unpinned torch would pull gigabytes of CUDA packages.
RUN pip install --no-cache-dir torch==2.13.0 -e '.[course]' -c constraints.txt
WORKDIR /course
ENTRYPOINT ["kit"]
