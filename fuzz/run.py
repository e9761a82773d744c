# SPDX-License-Identifier: Apache-2.0
"""Builds the fuzz targets with libFuzzer, ASan and UBSan, and runs each.

    fuzz/run.py [--seconds N] [--build FOLDER] [--no-build | --only-build]
                [--merge] [NAME...]

Without a name: all targets, N seconds each. Starts from the seeds in
fuzz/corpus/NAME; what a target learns stays in FOLDER/corpus/NAME, so that the
next run goes on from there. An input that breaks a target is kept in
FOLDER/found/NAME and makes the exit code 1.

--merge doesn't fuzz: it makes the seeds the smallest that are worth keeping.
Those with names of their own stay, for each is there for a reason; to them come,
as found-HASH, the fewest small inputs among what was learned here and the
found-HASH of old that reach code which the others don't.
"""

import argparse
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INPUT_BYTES_MAX = 65536
MERGED_PREFIX = 'found-'
MERGED_BYTES_MAX = 1024


def targets():
    paths = glob.glob(os.path.join(TOP, 'fuzz', 'fuzz_*.c'))
    return sorted(os.path.basename(path)[len('fuzz_'):-len('.c')]
                  for path in paths)


def build(folder):
    if not os.path.exists(os.path.join(folder, 'build.ninja')):
        subprocess.run(
            ['meson', 'setup', folder, TOP, '-Dfuzz=true', '-Dtests=false',
             '-Db_sanitize=address,undefined', '-Db_lundef=false',
             '-Dc_args=-fsanitize=fuzzer-no-link',
             '-Dc_link_args=-fsanitize=fuzzer-no-link'],
            check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, CC='clang-14'))
    subprocess.run(['ninja', '--quiet', '-C', folder,
                    *(f'fuzz/fuzz_{name}' for name in targets())], check=True)


def last_number(text, word):
    """The last value that libFuzzer printed as `word: N`."""
    found = re.findall(rf'{word}: (\d+)', text)
    return int(found[-1]) if found else 0


def fuzz(folder, name, seconds):
    """Runs one target; returns whether it held."""
    learned = os.path.join(folder, 'corpus', name)
    found = os.path.join(folder, 'found', name, '')
    seeds = os.path.join(TOP, 'fuzz', 'corpus', name)
    log = os.path.join(folder, f'fuzz_{name}.log')
    for path in (learned, found):
        os.makedirs(path, exist_ok=True)
    argv = [os.path.join(folder, 'fuzz', f'fuzz_{name}'),
            f'-max_total_time={seconds}', f'-max_len={INPUT_BYTES_MAX}',
            '-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=1',
            f'-artifact_prefix={found}', learned, seeds]
    environment = dict(os.environ, UBSAN_OPTIONS='halt_on_error=1')
    with open(log, 'w', encoding='utf-8') as out:
        status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=out, check=False,
                                env=environment).returncode
    with open(log, encoding='utf-8', errors='replace') as file:
        text = file.read()
    inputs = last_number(text, 'stat::number_of_executed_units')
    edges = last_number(text, 'cov')
    if status == 0:
        print(f'{name}: {inputs} inputs in {seconds} s, {edges} edges, '
              'nothing found')
        return True
    print(f'{name}: FAILED after {inputs} inputs; what broke it is in {found}')
    print(''.join(text.splitlines(keepends=True)[-60:]))
    return False


def run_merge(folder, name, chosen, source):
    """Adds to @chosen what of @source reaches more edges than it does."""
    done = subprocess.run(
        [os.path.join(folder, 'fuzz', f'fuzz_{name}'), '-set_cover_merge=1',
         # Edges alone: an input for each count of a loop would be too many.
         '-use_counters=0', f'-max_len={INPUT_BYTES_MAX}', chosen, source],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors='replace', check=False)
    if done.returncode != 0:
        raise RuntimeError(f'{name}: merging failed:\n{done.stderr[-3000:]}')


def merge(folder, name):
    """Chooses the seeds of one target anew."""
    learned = os.path.join(folder, 'corpus', name)
    seeds = os.path.join(TOP, 'fuzz', 'corpus', name)
    os.makedirs(learned, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        source, chosen = (os.path.join(work, part) for part in ('a', 'b'))
        os.mkdir(source)
        os.mkdir(chosen)
        named, old = set(), []
        for entry in os.scandir(seeds):
            if entry.name.startswith(MERGED_PREFIX):
                old.append(entry.path)
                shutil.copy(entry.path, source)
            else:
                named.add(entry.name)
                shutil.copy(entry.path, chosen)
        for entry in os.scandir(learned):
            if entry.stat().st_size <= MERGED_BYTES_MAX:
                shutil.copy(entry.path, source)
        run_merge(folder, name, chosen, source)
        for path in old:
            os.unlink(path)
        added = set(os.listdir(chosen)) - named
        for entry in added:
            path = os.path.join(chosen, entry)
            with open(path, 'rb') as file:
                digest = hashlib.sha256(file.read()).hexdigest()[:8]
            shutil.copy(path, os.path.join(seeds, MERGED_PREFIX + digest))
    print(f'{name}: {len(named)} seeds with names, {len(added)} found')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--build', default=os.path.join(TOP, 'build-fuzz'))
    parser.add_argument('--no-build', action='store_true')
    parser.add_argument('--only-build', action='store_true')
    parser.add_argument('--merge', action='store_true')
    parser.add_argument('names', nargs='*')
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(targets())
    if unknown:
        parser.error(f'no target {" ".join(sorted(unknown))}; there are: '
                     + ' '.join(targets()))
    if not arguments.no_build:
        build(arguments.build)
    if arguments.only_build:
        return
    if arguments.merge:
        for name in arguments.names or targets():
            merge(arguments.build, name)
        return
    held = [fuzz(arguments.build, name, arguments.seconds)
            for name in arguments.names or targets()]
    sys.exit(0 if all(held) else 1)


if __name__ == '__main__':
    main()
