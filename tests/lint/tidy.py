# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the C files named on stdin, once per content.

Arguments: build folder, parallel jobs, stamp folder, a text that stands for
the configuration. A file's stamp is named by the hash of its text, its
preprocessed text and the configuration: a change in a header that it includes
has it analysed again, and nothing else does.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys


FINDING = re.compile(r'^(\S+?):(\d+):\d+: (?:error|warning): (.*)$', re.M)


def main():
    build, jobs, stamps, config = sys.argv[1:5]
    with open(os.path.join(build, 'compile_commands.json'),
              encoding='utf-8') as file:
        commands = {os.path.realpath(os.path.join(entry['directory'],
                                                  entry['file'])): entry
                    for entry in json.load(file)}
    names = [line.strip() for line in sys.stdin if line.strip()]

    def stamp_of(entry):
        words = shlex.split(entry['command'])
        for option in ('-o', '-MF', '-MQ'):
            if option in words:
                at = words.index(option)
                del words[at:at + 2]
        words = [word for word in words if word not in ('-c', '-MD')]
        text = subprocess.run(words + ['-E', '-P'], cwd=entry['directory'],
                              capture_output=True, check=True).stdout
        with open(os.path.join(entry['directory'], entry['file']),
                  'rb') as file:
            own = file.read()
        return hashlib.sha1(config.encode() + own + text).hexdigest()

    def check(name):
        entry = commands.get(os.path.realpath(name))
        if entry is None:
            return name, f'{name}: not part of the build\n'
        stamp = os.path.join(stamps, stamp_of(entry))
        if os.path.exists(stamp):
            return name, ''
        done = subprocess.run(['clang-tidy-14', '--quiet', '-p', build, name],
                              capture_output=True, text=True)
        if done.returncode == 0 and 'warning:' not in done.stdout:
            open(stamp, 'w', encoding='utf-8').close()
            return name, ''
        return name, done.stdout or done.stderr

    bad = 0
    findings = {}  # a header's finding comes once for each file
    with concurrent.futures.ThreadPoolExecutor(int(jobs)) as pool:
        for name, trouble in pool.map(check, names):
            if not trouble:
                continue
            bad += 1
            found = FINDING.findall(trouble)
            for path, line, text in found:
                path = os.path.relpath(os.path.join(build, path))
                findings[f'{path}:{line}: {text}'] = True
            if not found:
                findings[f'{name}: {trouble.strip()}'] = True
    print('\n'.join(findings))
    print(f'{len(names)} files, {bad} with findings')
    sys.exit(1 if bad else 0)


main()
