FROM python:3.13-slim-bookworm AS build
ARG EXTRAS=postgresql
WORKDIR /sweep
COPY pyproject.toml README.md LICENSE ./
COPY sweep sweep
RUN python -m venv /opt/sweep && /opt/sweep/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.13-slim-bookworm
RUN useradd --create-home --uid 10001 sweep && install -d -o sweep -g sweep /home/sweep/runs
COPY --from=build /opt/sweep /opt/sweep
ENV PATH=/opt/sweep/bin:$PATH
WORKDIR /home/sweep
USER 10001
CMD ["sweep", "--help"]
