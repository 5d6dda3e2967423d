"""Figures 9 and 4 in the paper's own regime: ResNet-20 on halves of CIFAR-100 at 32 pixels.

One random, class-balanced split of the 50,000 training images into D0 and D1, the same for all trials as in the
official code; trials differ in weights, order and augmentation. The net, its draw of weights, crops and flips,
optimizers, schedules, weight decay and the students' batch are the paper's (A.2, A.3). Epochs are fewer: the paper has
200 and 300.

How long, by one rule stated before any student and any recorded teacher: teachers take as few epochs as a pilot needs
(trial 0, whose runs are not recorded) to reach 53 % on D1's labels, nine tenths of the 59.4 % in the first cell of
Fig 9; 30 are tried first, then 40, then 60. No other run uses D1's labels, and test labels choose nothing. Students
take half as many epochs again, as in the paper. `python benchmarks/pilot.py` trains the pilot and writes what it
reached.
"""

from kdlib.spec import Data, Teacher, Training

EPOCHS = 30
HALF = 25_000  # images of D0, and of D1
BATCH = 128
ENOUGH = 0.53  # accuracy of the pilot on D1
PILOT = 0  # its trial
NET, DRAW = "resnet20-bn", "he-fan-out"


def teacher(trial: int, member: int, epochs: int = EPOCHS) -> Teacher:
    """One member of a trial's ensemble, trained on D0 (A.3: SGD .1, momentum .9, weight decay 1e-4, cosine to 0)."""
    training = Training(optimizer="sgd", lr=0.1, nesterov=False, weight_decay=1e-4, batch=BATCH,
                        steps=round(epochs * HALF / BATCH))
    return Teacher(data=Data(name="cifar100", trial=trial, train=HALF, test=10_000, split=0), model=NET, draw=DRAW,
                   training=training, member=member)
