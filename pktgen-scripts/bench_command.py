"""How every benchmark is started, and where its results go. Imported before weirtest, which is found through this."""

import argparse
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEIR = "app/weir/weir"  # of the build directory
BALANCERS = ("weir", "nginx", "haproxy")
sys.path.insert(0, f"{ROOT}/tests/net")


def words_of(known, between=","):
    def parse(text):
        words = text.split(between) if text else []
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word} is none of {f'{between} '.join(known)}")
        return words
    return parse


class CommandLine(argparse.ArgumentParser):
    """The text at the top of the benchmark is its --help; beside its own options it has --build and --json."""

    def __init__(self, text):
        super().__init__(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_words(self, name, known, about="", default=None, between=","):
        """Some of those that are known, all of them by default."""
        chosen = list(known if default is None else default)
        self.add_argument(name, type=words_of(known, between), default=chosen, metavar="WORDS",
                          help=(about + between.join(chosen)).replace("%", "%%"))

    def parse(self, *programs, cores=1):
        """`programs` are what it calls of the build directory."""
        self.add_argument("--build", default=f"{ROOT}/build", help="build directory")
        self.add_argument("--json", metavar="FILE", help="everything, every round too")
        arguments = self.parse_args()
        for program in programs:
            if not os.path.exists(f"{arguments.build}/{program}"):
                self.error(f"{arguments.build} has no {program}: build it")
        if os.cpu_count() < cores:
            self.error(f"this needs {cores} cores")
        return arguments


def save(arguments, results):
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(results, file, indent=1)
