"""The real parents with a toy as their child: `supervise DATA [tick]` or `alone RUN_FOLDER`."""

import sys
from pathlib import Path

from app.config import Settings
from worker.run import Patience, run_alone
from worker.supervisor import supervise

TRAINER = (sys.executable, "-m", "tests.process.toy_trainer")
# Does nothing but leave a line in the run folder: for tests of the queue alone.
TICK = (sys.executable, "-S", "-c", "import sys; open(sys.argv[1] + '/ticks.txt', 'a').write(sys.argv[2] + '\\n')")
# Long enough for a toy to start and save on a busy machine.
PATIENCE = Patience(stop_s=1.5, interrupt_s=2.5, kill_s=2.0, silence_s=4.0, poll_s=0.05)

if __name__ == "__main__":
    way, folder, *rest = sys.argv[1:]
    if way == "alone":
        sys.exit(run_alone(Path(folder), TRAINER, PATIENCE))
    sys.exit(supervise(Settings(data=Path(folder)), TICK if rest == ["tick"] else TRAINER, PATIENCE))
