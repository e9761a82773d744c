#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What takes too long for a test: kills, crash states and fuzzers, for long.

Each part goes on where another has failed; the exit status is 1 if any has.
"""

import argparse
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'tests', 'lib'))

from forebay import BUILD  # noqa: E402
from kill_loop import KillLoop  # noqa: E402
from spawn import die_with_parent  # noqa: E402

LOGS = os.path.join(BUILD, 'soak')
KILLS_A_ROUND = 40
SIMULATOR = os.path.join(BUILD, 'src/sim/forebay-sim')
SEEDS_A_RUN = 50
STATES_A_SEED = 4000


class Failed(Exception):
    """A part that found something; the text says what."""


def duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02}:{seconds:02}'


class Progress:
    """One line that is overwritten on a terminal; elsewhere a line now and
    then."""

    PLAIN_SECONDS = 60

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.name = ''
        self.began = self.shown = 0.0

    def begin(self, name):
        self.name = name
        self.began = time.monotonic()
        self.shown = 0.0

    def elapsed(self):
        return time.monotonic() - self.began

    def show(self, done, total, text):
        """@done of @total; how long the rest takes follows from that."""
        now = time.monotonic()
        if not self.live and now < self.shown + self.PLAIN_SECONDS:
            return
        self.shown = now
        left = (f', about {duration(self.elapsed() * (total - done) / done)} '
                'left' if done else '')
        line = f'  {self.name}: {text}  ({duration(self.elapsed())}{left})'
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print('\r\033[K' + line[:width], end='', flush=True)
        else:
            print(line, flush=True)

    def end(self):
        if self.live:
            print('\r\033[K', end='', flush=True)


def run_logged(name, words, seconds=None, **environment):
    """Runs a program; returns its output, which stays in the logs too."""
    path = os.path.join(LOGS, name + '.log')
    with open(path, 'w', encoding='utf-8') as log:
        done = subprocess.run(
            [str(word) for word in words], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, check=False, timeout=seconds,
            env=dict(os.environ, **environment), preexec_fn=die_with_parent)
    with open(path, encoding='utf-8', errors='replace') as log:
        text = log.read()
    if done.returncode != 0:
        raise Failed(f'exit status {done.returncode}; see {path}\n'
                     + text[-3000:])
    return text


# ---- parts: each returns what it has done, in words -----------------------

def kill_hosts(arguments, progress):
    """A whole host under load, all of whose processes are killed."""
    root = tempfile.mkdtemp(prefix='fbsoak', dir='/tmp')
    os.chmod(root, 0o711)
    with open(os.path.join(LOGS, 'kills.log'), 'w', encoding='utf-8') as log:
        def say(line):
            print(line, file=log, flush=True)
            progress.show(loop.kills['forebay-disk'], arguments.kills, line)

        loop = KillLoop(root, arguments.seed, say)
        try:
            loop.start()
            while loop.kills['forebay-disk'] < arguments.kills:
                loop.round(min(KILLS_A_ROUND, arguments.kills
                               - loop.kills['forebay-disk']))
            loop.finish()
        except Exception as error:
            raise Failed(f'{error}\nafter {dict(loop.kills)}; journals, '
                         f'images and logs are in {root}\n{loop.host.logs()}'
                         f'\n{traceback.format_exc()}') from error
        finally:
            loop.stop()
    shutil.rmtree(root)
    kills = ', '.join(f'{count} of {program}' for program, count
                      in loop.kills.most_common())
    return (f'{kills}; {sum(loop.requests.values()):,} requests, '
            f'{sum(loop.reconnects.values()):,} reconnects, '
            f'{loop.checked_blocks:,} blocks read back')


def kill_under_mixed_sizes(arguments, progress):
    """Writes of all sizes over NBD that nobody sends again."""
    progress.show(0, 1, f'{arguments.mixed_kills} kills')
    text = run_logged(
        'mixed', [sys.executable,
                  os.path.join(TOP, 'tests/system/test_nbd_kill_loop.py'),
                  'write_back'],
        FOREBAY_KILLS=str(arguments.mixed_kills),
        FOREBAY_SEED=str(arguments.seed),
        PYTHONPATH=os.path.join(TOP, 'tests/lib'))
    return f'{len(re.findall("(?m)^kill ", text))} kills'


def failpoints(arguments, progress):
    """Every failpoint, at each of its first hits."""
    progress.show(0, 1, f'{arguments.hits} hits of each failpoint')
    text = run_logged(
        'failpoints', [sys.executable, os.path.join(
            TOP, 'tests/failures/test_failpoints.py')],
        FOREBAY_HITS=str(arguments.hits), FOREBAY_SEED=str(arguments.seed),
        PYTHONPATH=os.path.join(TOP, 'tests/lib'))
    found = re.findall(r'(?m)^(\d+) kills, (\d+) blocks', text)
    return (f'{sum(int(kills) for kills, _ in found):,} kills, '
            f'{sum(int(blocks) for _, blocks in found):,} blocks read back')


def power_losses(arguments, progress):
    """A host in QEMU, whose disk is cut at many flushes."""
    progress.show(0, 1, f'{arguments.cuts} cuts')
    text = run_logged(
        'power', ['/usr/bin/python3',
                  os.path.join(TOP, 'tests/failures/test_power.py')],
        FOREBAY_CUTS=str(arguments.cuts), FOREBAY_SEED=str(arguments.seed),
        PYTHONPATH=os.path.join(TOP, 'tests/lib'),
        GUEST_VERIFY=os.path.join(BUILD, 'tests/guest/guest-verify'))
    cuts = len(re.findall('(?m)^cut at ', text))
    sectors = re.search(r'(?m)^(\d+) sectors', text)
    return f'{cuts} cuts, {int(sectors[1]):,} sectors read back'


def crash_states(arguments, progress):
    """The simulator, from new seeds, on all processors."""
    seed, states, rates, running, found = arguments.seed, 0, [], [], ''
    while running or (states < arguments.states and not found):
        progress.show(states, arguments.states, f'{states:,} states')
        expected = states + len(running) * SEEDS_A_RUN * STATES_A_SEED
        if (len(running) < os.cpu_count() and not found
                and expected < arguments.states):
            running.append(start_states(seed))
            seed += SEEDS_A_RUN
            continue
        process, log, path = running.pop(0)
        process.wait()
        log.close()
        with open(path, encoding='utf-8') as log:
            text = log.read()
        said = re.search(r'(\d+) crash states.* (\d+) states/s', text)
        if process.returncode != 0 or not said:
            found += f'see {path}\n{text[-3000:]}'
            continue
        states += int(said[1])
        rates.append(int(said[2]))
    if found:
        raise Failed(found)
    return (f'{states:,} states of {seed - arguments.seed:,} seeds, '
            f'{sum(rates) // len(rates):,} states/s per core')


def start_states(seed):
    path = os.path.join(LOGS, f'states-{seed}.log')
    log = open(path, 'w', encoding='utf-8')
    process = subprocess.Popen(
        [SIMULATOR, '--first', str(seed), '--seeds', str(SEEDS_A_RUN),
         '--states', str(STATES_A_SEED), '--world', 'mixed'],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        preexec_fn=die_with_parent)
    return process, log, path


def programs(arguments, progress):
    """The simulator, all programs of so many operations."""
    progress.show(0, 1, f'programs of up to {arguments.programs} operations')
    text = run_logged('programs', [SIMULATOR, '--programs',
                                   arguments.programs])
    found = re.search(r'(\d+) crash states.* (\d+) programs', text)
    return f'{int(found[1]):,} states of {int(found[2]):,} programs'


def fuzzers(arguments, progress):
    """Each fuzzer, one after the other; the next ones run all the same."""
    script = os.path.join(TOP, 'fuzz/run.py')
    run_logged('fuzz-build', [sys.executable, script, '--only-build'])
    names = sorted(os.path.basename(path)[len('fuzz_'):-len('.c')]
                   for path in glob.glob(os.path.join(TOP, 'fuzz/fuzz_*.c')))
    inputs, found = 0, []
    for number, name in enumerate(names):
        progress.show(number, len(names), name)
        try:
            text = run_logged('fuzz-' + name, [
                sys.executable, script, '--no-build', '--seconds',
                arguments.fuzz, name])
            inputs += int(re.search(r': (\d+) inputs', text)[1])
        except Failed as failed:
            found.append(f'{name}: {failed}')
    if found:
        raise Failed('\n'.join(found))
    return (f'{len(names)} fuzzers, {arguments.fuzz} s each, {inputs:,} '
            'inputs')


PARTS = (('kill -9', 'kills', kill_hosts),
         ('kill -9, mixed sizes', 'mixed_kills', kill_under_mixed_sizes),
         ('kill -9 at failpoints', 'hits', failpoints),
         ('power losses', 'cuts', power_losses),
         ('crash states', 'states', crash_states),
         ('programs', 'programs', programs),
         ('fuzzers', 'fuzz', fuzzers))


# ---- all of them -----------------------------------------------------------

def parse_arguments():
    def count(text):
        value = int(text)
        if value < 0:
            raise argparse.ArgumentTypeError('must not be below 0')
        return value

    parser = argparse.ArgumentParser(
        prog='./run soak', description=__doc__.split('\n', maxsplit=1)[0],
        epilog='0 leaves a part out.')
    parser.add_argument('--kills', type=count, default=1000, metavar='N',
                        help='of forebay-disk, on a whole host under loads '
                        'through both exports (1000)')
    parser.add_argument('--mixed-kills', type=count, default=100, metavar='N',
                        help='under NBD writes of mixed sizes (100)')
    parser.add_argument('--hits', type=count, default=32, metavar='N',
                        help='kills at each of the first hits of every '
                        'failpoint (32)')
    parser.add_argument('--cuts', type=count, default=100, metavar='N',
                        help='power losses of a host (100)')
    parser.add_argument('--states', type=count, default=48_000_000,
                        metavar='N', help='crash states, from new seeds '
                        '(48000000: with the programs 100 million in all)')
    parser.add_argument('--programs', type=count, default=4, metavar='N',
                        help='all programs of up to so many operations; each '
                        'more takes 20 times as long (4)')
    parser.add_argument('--fuzz', type=count, default=180, metavar='SECONDS',
                        help='for each fuzzer (180)')
    parser.add_argument('--seed', type=count, metavar='N',
                        default=random.randrange(1 << 30),
                        help='repeats the choices of a run')
    return parser.parse_args()


def commit():
    done = subprocess.run(
        ['git', '-c', f'safe.directory={TOP}', '-C', TOP, 'describe',
         '--always', '--dirty'], capture_output=True, text=True, check=False)
    return done.stdout.strip() or 'unknown'


def run_part(name, function, arguments, progress):
    """Returns whether it held, and its line of the summary."""
    progress.begin(name)
    held, text = True, ''
    try:
        text = function(arguments, progress)
    except Failed as failed:
        held, text = False, str(failed)
    except Exception:
        held, text = False, traceback.format_exc()
    progress.end()
    line = (f'{"held  " if held else "FAILED"}  {name}, '
            f'{duration(progress.elapsed())}: {text.splitlines()[0]}')
    print('  ' + line, flush=True)
    if not held:
        print(text, flush=True)
    return held, line


def main():
    arguments = parse_arguments()
    os.makedirs(LOGS, exist_ok=True)
    progress = Progress()
    print(f'  seed {arguments.seed}, commit {commit()}, '
          f'{time.strftime("%Y-%m-%d %H:%M")}, {os.cpu_count()} CPUs')
    results = [run_part(name, function, arguments, progress)
               for name, flag, function in PARTS if getattr(arguments, flag)]
    failed = [line for held, line in results if not held]
    print()
    for _, line in results:
        print('  ' + line)
    print(f'  {len(results)} parts, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
