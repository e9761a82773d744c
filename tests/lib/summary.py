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


def subtests(path):
    """{test name: [passed, failed, skipped]} of one JUnit file."""
    counts = {}
    for suite in ET.parse(path).getroot().iter('testsuite'):
        project = suite.get('name').split('.')[0]
        for case in suite.iter('testcase'):
            owner = case.get('classname')
            name = owner[len(project) + 1:] or case.get('name')
            count = counts.setdefault(name, [0, 0, 0])
            if case.find('skipped') is not None:
                count[2] += 1
            elif (case.find('failure') is not None
                  or case.find('error') is not None):
                count[1] += 1
            else:
                count[0] += 1
    return counts


def add_run(path, failures):
    """Counts of one run; appends the names of failed tests to @failures."""
    total = [0, 0, 0]
    try:
        cases = subtests(path[:-len('.json')] + '.junit.xml')
    except (OSError, ET.ParseError) as error:
        failures.append(f'{path}: no results: {error}')
        return [0, 1, 0]
    with open(path, encoding='utf-8') as file:
        tests = [json.loads(line) for line in file if line.strip()]
    for test in tests:
        name = test['name'].split(' / ')[-1]
        count = cases.get(name, [0, 0, 0])
        if test['result'] not in GOOD:
            if count[1] == 0:
                # A plain test that timed out stands as passed in JUnit.
                count = [0 if sum(count) == 1 else count[0], 1, count[2]]
            failures.append(f'{name}: {test["result"]}')
        elif sum(count) == 0:
            count = [1, 0, 0]
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
