"""How to call a model's program: a prompt on standard input, an answer on standard output.

    stallgate loop cumprod/naive_serial --command 'python examples/answerers/adapter.py my-model --temperature 0.7'

The words behind the adapter are the model's program and its arguments. Many programs need no adapter: name them in
--command. This one shows where a system message, a second try or a log would go.
"""

import subprocess
import sys

SYSTEM = "You write GPU kernels in Triton. Answer with one Python file in one fenced block, and nothing else.\n\n"

if __name__ == "__main__":
    prompt = SYSTEM + sys.stdin.read()
    for _ in range(2):
        done = subprocess.run(sys.argv[1:], input=prompt, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            break
    sys.stdout.write(done.stdout)  # what it logs on standard error is kept in the journal
    sys.exit(done.returncode)
