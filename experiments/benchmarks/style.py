"""Which part of a latent carries the style? Images written again as another class, in ways that are compared.

python experiments/benchmarks/style.py                      the weights that come with ldg
python experiments/benchmarks/style.py RUN --pairs 1000     a run

For each way: how often a judge reads the class, and how much of pen and slant arrives, from the mean of the class and,
in brackets, as such.
"""

import argparse

import torch

import ldg
from ldg import checkpoint
from ldg.evaluation.class_accuracy import count_predictions, weighted_accuracy
from ldg.evaluation.context import BATCH, EvaluationContext
from ldg.evaluation.judge import find_judge
from ldg.evaluation.style import Norm, choose_others, correlations, traits
from ldg.models import style
from ldg.models.style import StyleSpace


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default=checkpoint.SHIPPED)
    parser.add_argument("--pairs", type=int, default=3000)
    args = parser.parse_args()
    model = ldg.load(args.run)
    context = EvaluationContext(model, find_judge=lambda model, data: find_judge(model, data, None))
    images, labels = context.images("test", args.pairs)
    real, classes = context.images("test")
    others = choose_others(labels, classes.unique(), context.generator("style"))
    measured = traits(real)
    norm = Norm(measured, classes.numpy())
    within = ((measured - norm.mean[classes]) ** 2).mean(0) / measured.var(0)
    print(f"share of the variance within classes: pen {within[0]:.2f}, slant {within[1]:.2f}\n")
    source = traits(images)

    def report(name, results):
        accuracy, _ = weighted_accuracy(count_predictions(context.judge, results.split(BATCH), others, name))
        reached = traits(results)
        raw = correlations(source, reached)
        kept = correlations(norm(source, labels.numpy()), norm(reached, others.numpy()))
        cells = [f"{kept[i]:.2f} ({raw[i]:.2f})" for i in (0, 1)]
        print(f"| {name} | {accuracy:.3f} | {' | '.join(cells)} | {kept[2]:.2f} |", flush=True)

    with torch.no_grad():

        def decode(z):
            return torch.cat([model.decode(*batch) for batch in zip(z.split(BATCH), others.split(BATCH), strict=True)])

        posterior = model.encode(images, labels, context.generator("encode"))
        z = posterior.mean
        noise = model.to_noise(z, labels)
        print("| what stays | read | pen | slant | size |\n|---|---|---|---|---|")
        drawn = torch.randn(noise.shape, generator=context.generator("samples"))
        report("nothing: samples of the prior", decode(model.from_noise(drawn, others)))
        report("the noise under the prior", decode(model.from_noise(noise, others)))
        report("the latent", decode(z))
        for shrinkage, name in ((1.0, "the distance from the mean"), (0.0, "whitened"), (0.5, "whitened, halfway")):
            style.SHRINKAGE = shrinkage
            space = StyleSpace(model)
            for temperature in (1.0, 0.9, 0.8):
                results = decode(space.latents(space.styles(posterior, labels)[0], others, temperature))
                report(f"{name}, temperature {temperature}", results)


if __name__ == "__main__":
    main()
