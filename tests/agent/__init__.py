"""Tests of prompts, checks of answers, and the loop."""
