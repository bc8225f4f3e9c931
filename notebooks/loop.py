import torch
from torch import nn

import rnntips as rt

SEED, PAST, BATCH_SIZE, WIDTH, LEARNING_RATE, UPDATES, CHECK_EVERY = 0, 24, 32, 24, 0.01, 200, 50
torch.set_num_threads(1)  # a network as small as this one is fastest on one core

# Data: inputs (B, T, C) are B windows of T = PAST steps with C channels; targets (B, 1) are the values after them.
task, recipe = rt.tasks.forecast(rt.series.demand()), rt.Recipe(past=PAST, batch_size=BATCH_SIZE)
train = task.batches(recipe, SEED)  # never ends
valid, test = (list(task.batches(recipe, SEED, part)) for part in ("valid", "test"))
naive = {part: task.naive(part, recipe, SEED) for part in ("valid", "test")}  # errors of repeating the last value


class Model(nn.Module):
    def __init__(self, channels=1, outputs=1):
        super().__init__()
        self.cell = nn.GRU(channels, WIDTH, batch_first=True)
        self.readout = nn.Linear(WIDTH, outputs)

    def forward(self, inputs):
        states, _ = self.cell(inputs)  # the state after every step, (B, T, WIDTH); _ repeats the last one
        return self.readout(states[:, -1])


torch.manual_seed(SEED)
model = Model()


@torch.no_grad()
def error(batches):
    differences = torch.cat([model(inputs) - targets for inputs, targets in batches])
    return differences.square().mean().sqrt().item()  # the root mean squared error, as naive is


# Training
optimizer, best = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE), float("inf")
for update in range(1, UPDATES + 1):
    inputs, targets = next(train)
    loss = nn.functional.mse_loss(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % CHECK_EVERY == 0:
        now = error(valid)
        print(f"update {update}: validation error {now / naive['valid']:.2f} of naive")
        if now < best:  # a checkpoint of the best weights
            best = now
            torch.save(model.state_dict(), "best.pt")

model.load_state_dict(torch.load("best.pt"))  # the test part is looked at once
print(f"test error {error(test) / naive['test']:.2f} of naive")
