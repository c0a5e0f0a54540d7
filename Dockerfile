FROM python:3.13-slim
RUN useradd --create-home sweep && install -d -o sweep -g sweep /home/sweep/runs
WORKDIR /home/sweep
COPY pyproject.toml README.md LICENSE /tmp/sweep/
COPY sweep /tmp/sweep/sweep
RUN pip install --no-cache-dir '/tmp/sweep[examples,postgresql]' && rm -r /tmp/sweep
USER sweep
CMD ["sweep", "--help"]
