"""Findings → what repair does about them; pure."""
