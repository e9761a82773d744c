# SPDX-License-Identifier: Apache-2.0
"""Adds up the results of `meson test` runs and prints the closing line.

Arguments are folders; every run-*.json of meson in them is a run, with its
run-*.junit.xml beside it. Subtests come from the JUnit file. A test that died
or timed out without a failed subtest to show for it counts as one failure.
"""

import glob
import json
import os
import sys
import xml.etree.ElementTree as ET

GOOD = {'OK', 'SKIP', 'EXPECTEDFAIL'}


def test_name(text):
    """Meson writes "project:suite+suite / name", and sometimes the name."""
    return text.split(' / ')[-1]


def subtests(path, failures):
    """{test name: [passed, failed, skipped]} of one JUnit file."""
    counts = {}
    for case in ET.parse(path).getroot().iter('testcase'):
        # A test without subtests is a case of the project's own suite.
        plain = ' / ' not in case.get('classname')
        name = test_name(case.get('name' if plain else 'classname'))
        count = counts.setdefault(name, [0, 0, 0])
        if case.find('skipped') is not None:
            count[2] += 1
        elif case.find('failure') is None and case.find('error') is None:
            count[0] += 1
        else:
            count[1] += 1
            failures.append(name if plain else f'{name}: {case.get("name")}')
    return counts


def add_run(path, failures):
    """Counts of one run; appends the names of what failed to @failures."""
    total = [0, 0, 0]
    try:
        cases = subtests(path[:-len('.json')] + '.junit.xml', failures)
    except (OSError, ET.ParseError) as error:
        failures.append(f'{path}: no results: {error}')
        return [0, 1, 0]
    with open(path, encoding='utf-8') as file:
        tests = [json.loads(line) for line in file if line.strip()]
    for test in tests:
        name = test_name(test['name'])
        count = cases.get(name, [0, 0, 0])
        if test['result'] not in GOOD and count[1] == 0:
            # It died or timed out; a plain test stands as passed in JUnit.
            count = [0 if sum(count) == 1 else count[0], 1, count[2]]
            failures.append(f'{name}: {test["result"].lower()}')
        total = [a + b for a, b in zip(total, count)]
    return total


def main():
    total = [0, 0, 0]
    failures = []
    for folder in sys.argv[1:]:
        for path in sorted(glob.glob(os.path.join(folder, 'run-*.json'))):
            total = [a + b for a, b in zip(total, add_run(path, failures))]
    for failure in failures:
        print('  failed: ' + failure)
    print(f'{total[0]} passed, {total[1]} failed, {total[2]} skipped')
    sys.exit(1 if total[1] or not total[0] else 0)


main()
