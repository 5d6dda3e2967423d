"""The paper's regime within reach of two CPU cores: ResNet-20 on halves of CIFAR-100 at 32 pixels (Fig 9 and 4).

The net, its draw of weights, crops and flips, optimizers, schedules, weight decay and the students' batch are the
paper's (A.2, A.3); epochs are fewer, where it has 200 and 300. How long, by one rule stated before any student and any
recorded teacher: teachers take as few epochs as a pilot needs to reach 53 % on the other half's labels, nine tenths of
the 59.4 % in the first cell of Fig 9; 30 are tried first, then 40, then 60 (`benchmarks/pilot.py`). No run uses those
labels, and test labels choose nothing. Students take half as many epochs again, as in the paper.
"""

from kdlib.experiments import halves
from kdlib.experiments.profile import Profile
from kdlib.spec import Training

EPOCHS = 30
HALF, BATCH = 25_000, 128
STUDENT_EPOCHS = round(1.5 * EPOCHS)

PROFILE = Profile(
    name="halves",
    role="regime",
    where="the paper's regime",
    benchmark="halves of CIFAR-100",
    seeds=3,
    data_set="cifar100",
    train=HALF,
    test=10_000,
    net="resnet20-bn",
    teaching=Training(optimizer="sgd", lr=0.1, nesterov=False, weight_decay=1e-4, batch=BATCH,
                      steps=round(EPOCHS * HALF / BATCH)),
    training=Training(optimizer="sgd", lr=0.05, final_lr=1e-6, weight_decay=1e-4, batch=BATCH,
                      steps=round(STUDENT_EPOCHS * HALF / BATCH)),
    draw="he-fan-out",
    epochs=STUDENT_EPOCHS,
    measures="all",
    weights=True,
    halves=halves.Settings(
        split=0,
        members=3,
        cells=((1, 1.0), (1, 4.0), (3, 1.0), (3, 4.0)),
        enough=0.53,
    ),
)
